"""Templates of HTML pages that open without a network."""
