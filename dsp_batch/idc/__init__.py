"""What the Imaging Data Commons says about its series, without a request, and where they can be looked at."""
