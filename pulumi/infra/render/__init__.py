"""From a service to the plain dictionary that a platform takes; pure, so that tests compare whole results."""
