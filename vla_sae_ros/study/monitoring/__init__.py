"""`vla-sae monitor`: alarms calibrated on successful episodes, and what they catch."""
