"""The cloud engines: one module for each protocol and each vendor, over what all of them share.

No vendor's SDK is imported here: requests are built, sent and read by this package. Tests hold it to the SDKs.
"""
