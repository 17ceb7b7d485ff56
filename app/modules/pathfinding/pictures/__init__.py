"""Pictures of maps as PNG and SVG: ground, regions, costs, dangers, ways. Plain functions, for worker threads.

They know surfaces and meshes; they do not know requests, worlds or how anything is searched.
"""
