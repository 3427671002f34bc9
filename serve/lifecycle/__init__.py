"""Starting and stopping the application, its HAProxy and MLflow's page beside it."""
