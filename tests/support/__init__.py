"""What tests share: peers and brokers, never a stand-in for code under test."""
