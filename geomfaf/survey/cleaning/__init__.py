"""Layers as read go in; clean ones come out, with a finding for everything that was wrong with
them.
"""
