"""What is measured, one kind in each module."""
