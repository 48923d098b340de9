"""A campaign without people: simulated annotators drive the real queue, submit, router and trainer."""
