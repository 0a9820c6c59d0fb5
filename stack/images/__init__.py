"""The image of our services, and the small programs that stand in it beside them."""
