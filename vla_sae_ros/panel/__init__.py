"""The operator's panel: Qt over the messages; imports no torch."""
