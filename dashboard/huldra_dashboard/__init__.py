"""The dashboard of huldra: Streamlit pages and a JSON API over `huldra.catalog`."""
