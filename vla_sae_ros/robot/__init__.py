"""Robot arms behind one driver protocol, and the safety envelope between a policy and a driver.

No ROS, Qt or torch. From the outside in:

* `loop.ControlLoop` owns the control thread: it ticks at the control rate, takes the newest
  command of a `command.CommandSource`, passes it through the envelope and hands the result to the
  driver.
* `envelope.SafetyEnvelope` decides per tick: sent, limited, held, refused, or a latched stop.
* `action_space.ActionSpace` says what an action's numbers mean; `droid.DroidActions` is DROID's.
* `driver.Driver` is the robot.
"""
