"""Episodes for the Rerun viewer: what a bag or a running system says, as Rerun recordings."""
