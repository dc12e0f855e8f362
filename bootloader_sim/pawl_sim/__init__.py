"""A NOR flash that can lose power at any operation: built in a later release."""
