"""The simulation bridge: LIBERO and the rehearsal table behind topics and `run_episode`."""
