"""The only code that talks to the broker: it runs one, and keeps a link to one."""
