"""What must hold of every resource of a stack on AWS, before it is made: each rule gives a line for what breaks it."""
