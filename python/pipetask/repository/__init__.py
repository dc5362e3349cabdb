"""All that touches the butler repository: access, pre-update, collections, leases, bulk registration, removal."""
