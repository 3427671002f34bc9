"""What jobs, serving and notebooks share: settings, the model artefact, its versions and their promotion."""
