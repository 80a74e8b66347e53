"""What the replicas of a service share in Redis, or in what speaks its protocol."""
