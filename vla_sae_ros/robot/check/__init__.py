"""`vla-sae robot check`: a lab's first steps with its arm, slow and one at a time."""
