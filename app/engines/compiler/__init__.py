"""Graph work on networks: simplify, lower the precision, measure and prove. Imported by the command line only."""
