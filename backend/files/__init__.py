"""Pictures in files, without Label Studio: one mask, or masks of all boxes of a data set. Stands beside the server."""
