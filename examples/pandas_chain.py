"""Why is this product not among the offers? A pandas chain, watched.

    pip install -e ".[server,frames]" pandas
    python -m examples.pandas_chain

It starts a server of its own, and ends it.
"""

from __future__ import annotations

import os

import pandas as pd

import dxray


def catalog() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sku": ["case", "stand", "cable", "hub", "dock", "sleeve"],
            "price": [12.0, 25.0, 8.0, 45.0, 180.0, 22.0],
            "rating": [4.4, 4.7, 3.1, 4.0, 4.8, 4.1],
            "stock": [3, 0, 9, 4, 2, 5],
        }
    )


def offers(products: pd.DataFrame) -> pd.DataFrame:
    products = products[(products["price"] <= 50) & (products["stock"] > 0)]
    products = products.query("rating >= 4")
    return products.sort_values("rating", ascending=False).head(2)


def main() -> None:
    with dxray.local() as client:
        os.environ["DXRAY_API_URL"] = client.api_url
        xray = dxray.XRay("offers")
        with xray.run() as run:
            best = offers(dxray.watch(catalog(), key="sku"))
        xray.flush()
        print(best, end="\n\n")
        for sku in ("case", "sleeve", "hub", "dock", "cable"):
            print(client.why(run.run_id, sku), end="\n\n")


if __name__ == "__main__":
    main()
