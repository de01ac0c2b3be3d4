"""Speed as ratios: this runner and its peers, in pairs, each total checked."""
