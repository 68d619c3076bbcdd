"""Replaying a bag through the policy, unchanged or with other edits."""
