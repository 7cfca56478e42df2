"""The processes of the store and the command line that starts them."""
