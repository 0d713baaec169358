"""What models there are: their names, what they can do, what they cost."""
