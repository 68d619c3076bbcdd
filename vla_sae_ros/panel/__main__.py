"""`python -m vla_sae_ros.panel` opens the panel."""

import sys

from vla_sae_ros.panel.app import main

sys.exit(main())
