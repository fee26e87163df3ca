"""A stand-in for label-studio-ml 2.x, which is not on PyPI: what its class and its api do with a model, and no more.

Written after model.py, response.py and api.py of github.com/HumanSignal/label-studio-ml-backend at d02cedf.
"""
