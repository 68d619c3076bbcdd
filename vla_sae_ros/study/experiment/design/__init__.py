"""Design of a study: the study file, arms, features chosen, the plan of runs."""
