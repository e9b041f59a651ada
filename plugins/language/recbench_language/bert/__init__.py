"""Will the user like, comment on or share what it reads? What the words of posts say of that."""
