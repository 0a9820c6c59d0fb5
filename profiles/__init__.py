"""The profiles that ship with hftctl. Empty, so that the files are found as package data."""
