"""The untrusted side of the boundary: what runs in the confined process."""
