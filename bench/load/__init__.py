"""An open-loop load on the operational API: what is asked, who asks, and the clients."""
