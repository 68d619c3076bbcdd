"""What the panel knows: values from messages, their history and what is selected."""
