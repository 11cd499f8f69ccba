"""What `manage.py doctor` looks at, a file for each subject; rounds.py has the order of all."""
