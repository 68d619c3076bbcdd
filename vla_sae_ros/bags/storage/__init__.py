"""What the files of a bag hold, also where they are damaged: records, messages, their types."""
