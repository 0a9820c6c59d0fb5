"""What backups are on a store: objects named by their content, manifests that make them one backup. Knows no target."""
