"""What Pawl costs, each figure beside a reference that is measured in the same run: `make bench`."""
