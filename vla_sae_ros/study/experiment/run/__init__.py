"""Running a study's plan: workers, rollouts, hooks, and the store of finished runs."""
