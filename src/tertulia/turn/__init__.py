"""The vocabulary of one turn: what is asked, what happens, what it comes to. Pure values and functions."""
