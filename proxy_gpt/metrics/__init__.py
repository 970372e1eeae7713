"""What Prometheus is told: numbers in shared memory, counted where a request ends, added up when somebody asks.

prometheus_client writes the text. It does not keep the numbers: its own way for several workers maps files, which kill
their process when the disk is full, and a file of each dead worker stays until the next start.
"""
