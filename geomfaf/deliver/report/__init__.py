"""A run's folder goes in; what people read comes out: report.html and summary.md, made of the same
parts.
"""
