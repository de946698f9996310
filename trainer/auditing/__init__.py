"""What is wrong with the data: copies, images in two classes, likely wrong labels, blank images, small classes.

Imported by `audit_cli`.
"""
