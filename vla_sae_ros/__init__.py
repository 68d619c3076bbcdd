"""Live feature steering for vision-language-action policies on ROS 2."""

from pkgutil import extend_path

# The generated messages (vla_sae_ros.msg, .srv, .action) are installed elsewhere on sys.path: a
# checkout must add to them, not hide them.
__path__ = extend_path(__path__, __name__)
