"""Evaluation, distillation and fine-tuning. Stands beside the server."""
