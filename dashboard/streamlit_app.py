"""What `streamlit run dashboard` starts: the pages and the JSON API on one port."""

import streamlit as st

from huldra_dashboard import shell

# Streamlit finds the application by this very assignment, without running the file.
app = st.App(shell.SCRIPT, routes=shell.routes(), middleware=shell.middleware())
