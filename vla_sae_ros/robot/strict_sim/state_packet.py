"""The robot state as it goes over UDP every millisecond, written in place: it must be cheap."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.drivers.error_flags import ERROR_FLAGS

_LAYOUT = np.dtype(
    [
        ("O_T_EE", "<f4", 16),
        ("O_T_EE_d", "<f4", 16),
        ("F_T_EE", "<f4", 16),
        ("EE_T_K", "<f4", 16),
        ("F_T_NE", "<f4", 16),
        ("NE_T_EE", "<f4", 16),
        ("m_ee", "<f4"),
        ("I_ee", "<f4", 9),
        ("F_x_Cee", "<f4", 3),
        ("m_load", "<f4"),
        ("I_load", "<f4", 9),
        ("F_x_Cload", "<f4", 3),
        ("elbow", "<f4", 2),
        ("elbow_d", "<f4", 2),
        ("tau_J", "<f4", 7),
        ("tau_J_d", "<f4", 7),
        ("dtau_J", "<f4", 7),
        ("q", "<f4", 7),
        ("q_d", "<f4", 7),
        ("dq", "<f4", 7),
        ("dq_d", "<f4", 7),
        ("ddq_d", "<f4", 7),
        ("joint_contact", "<f4", 7),
        ("cartesian_contact", "<f4", 6),
        ("joint_collision", "<f4", 7),
        ("cartesian_collision", "<f4", 6),
        ("tau_ext_hat_filtered", "<f4", 7),
        ("O_F_ext_hat_K", "<f4", 6),
        ("K_F_ext_hat_K", "<f4", 6),
        ("O_dP_EE_d", "<f4", 6),
        ("O_ddP_O", "<f4", 3),
        ("elbow_c", "<f4", 2),
        ("delbow_c", "<f4", 2),
        ("ddelbow_c", "<f4", 2),
        ("O_T_EE_c", "<f4", 16),
        ("O_dP_EE_c", "<f4", 6),
        ("O_ddP_EE_c", "<f4", 6),
        ("theta", "<f4", 7),
        ("dtheta", "<f4", 7),
        ("accelerometer_top", "<f4", 18),
        ("accelerometer_bottom", "<f4", 18),
        ("motion_generator_mode", "u1"),
        ("controller_mode", "u1"),
        ("errors", "u1", len(ERROR_FLAGS)),
        ("reflex_reason", "u1", len(ERROR_FLAGS)),
        ("robot_mode", "u1"),
        ("control_command_success_rate", "<f4"),
    ]
)
_EYE = np.eye(4).ravel(order="F")
_POSES = ("O_T_EE", "O_T_EE_d", "F_T_EE", "EE_T_K", "F_T_NE", "NE_T_EE", "O_T_EE_c")


class StatePacket:
    """One state; every field is an array that is written to, poses column by column."""

    def __init__(self) -> None:
        self._record = np.zeros(1, _LAYOUT)
        self._bytes = self._record.view(np.uint8)
        for name in _POSES:
            self[name][:] = _EYE

    def __getitem__(self, name: str) -> np.ndarray:
        return self._record[name][0] if _LAYOUT[name].shape else self._record[name]

    def pack(self) -> bytes:
        """Return the packet without its message id."""
        return self._bytes.tobytes()
