"""The long forms of all methods, in slices, and the account of them."""
