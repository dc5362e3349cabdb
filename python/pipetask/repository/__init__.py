"""Everything that touches the butler repository: access, pre-update, collections, leases, registration, removal."""
